export { type Experts, openExperts } from './experts.ts'
export { checkExperts, type ExpertManifest, type ExpertRecipe } from './manifest.ts'
export { type ExpertStore, expertsInMemory } from './store.ts'
export { type ExpertProgress, type TrainExpertsOptions, trainExperts } from './train-experts.ts'
