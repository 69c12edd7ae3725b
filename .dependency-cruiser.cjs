// The house of docs/design.md as rules: each floor imports only floors below it, through a folder's face (index.ts).

/**
 * Folders of src by floor. src/errors.ts, src/did-you-mean.ts, src/words.ts and wgsl/ lie below them all; the entry points
 * src/*.ts lie above.
 */
const FLOORS = [['io'], ['gpu'], ['kernels'], ['autograd'], ['optim', 'models', 'data'], ['ld3m'], ['node'], ['cli']]

/** What may not be imported by what also runs in a browser. */
const NODE_ONLY = '(^|node_modules/)(webgpu|sharp|@sparticuz/chromium)(/|$)'

const inFolders = (names) => `^src/(${names.join('|')})/`

const floorRules = FLOORS.flatMap((names, floor) =>
  names.map((name) => ({
    name: `floor-of-${name}`,
    comment: `src/${name} imports only floors below it.`,
    severity: 'error',
    from: { path: `^src/${name}/` },
    to: {
      path: inFolders(FLOORS.slice(floor).flat()),
      pathNot: `^src/${name}/`,
    },
  })),
)

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-circles',
      comment: 'No circles. Types of one folder may name each other, as a tensor and its node do: nothing runs there.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'resolvable', comment: 'Every import exists.', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...floorRules,
    {
      name: 'known-folder',
      comment: 'Every folder of src has a floor: add a new one to FLOORS.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: inFolders(FLOORS.flat()) },
      to: {},
    },
    {
      name: 'entry-points-on-top',
      comment: 'Nothing in a folder imports an entry point.',
      severity: 'error',
      from: { path: '^src/[^/]+/' },
      to: { path: '^src/[^/]+\\.ts$', pathNot: '^src/(errors|did-you-mean|words)\\.ts$' },
    },
    {
      name: 'below-the-house',
      comment: 'src/words.ts and src/did-you-mean.ts import nothing.',
      severity: 'error',
      from: { path: '^src/(did-you-mean|words)\\.ts$' },
      to: {},
    },
    {
      name: 'errors-below-the-house',
      comment: 'src/errors.ts imports only src/did-you-mean.ts.',
      severity: 'error',
      from: { path: '^src/errors\\.ts$' },
      to: { pathNot: '^src/did-you-mean\\.ts$' },
    },
    {
      name: 'face-only',
      comment: "Another folder's files are imported through its index.ts.",
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    {
      name: 'face-only-for-entry-points',
      comment: "An entry point imports a folder's index.ts.",
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$' },
      to: { path: '^src/[^/]+/', pathNot: '^src/[^/]+/index\\.ts$' },
    },
    {
      name: 'node-only-in-node',
      comment: 'Only src/node and src/cli, and the entry point src/node.ts, may need Node.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(node|cli)(/|\\.ts$)' },
      to: { path: [NODE_ONLY, '^src/node(/|\\.ts$)'] },
    },
    {
      name: 'no-node-modules-in-the-browser',
      comment: "Only src/node and src/cli, and the entry point src/node.ts, may import Node's own modules.",
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(node|cli)(/|\\.ts$)' },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    // The floors hold for type imports too.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'default', 'types'] },
  },
}
