/**
 * What needs Node: Dawn's adapters, files, run directories.
 *
 * @module ld3m-gpu/node
 */
export * from './node/index.ts'
