export { type Accuracy, summarize } from './accuracy.ts'
export {
  type ChooseIterationOptions,
  type ChosenIteration,
  chooseIteration,
  IterationChoice,
} from './choose-iteration.ts'
export { classFolders } from './class-folders.ts'
export { type DistillEstimate, describeDistill, distill, estimateDistill, planDistill } from './distill.ts'
export {
  DistillationStopped,
  type DistillOptions,
  type DistillProgress,
  type DistillSettings,
} from './distill-options.ts'
export { savedIterations } from './distill-state.ts'
export { distilledFromSafetensors, distilledToSafetensors } from './distilled-file.ts'
export { distilledToImageFolder } from './distilled-image-folder.ts'
export { distilledToNpz } from './distilled-npz.ts'
export type { EncodeProgress } from './encode-dataset.ts'
export { estimateTrainPrior, type PriorEstimate } from './estimate-prior.ts'
export {
  checkEvaluation,
  type EvaluateOptions,
  type EvaluateProgress,
  type Evaluation,
  evaluate,
  randomReal,
  type TrainingData,
} from './evaluate.ts'
export {
  type ExpertManifest,
  type ExpertProgress,
  type ExpertRecipe,
  type ExpertStore,
  type Experts,
  expertsInMemory,
  openExperts,
  type TrainExpertsOptions,
  trainExperts,
} from './experts/index.ts'
export {
  type JudgePriorOptions,
  judgePrior,
  type PriorJudgement,
  psnr,
  reconstruct,
  sampleClasses,
} from './judge-prior.ts'
export type { TrainingSet } from './labelled-images.ts'
export { denormalize, knownNormalization, type Normalization, normalizationOf, normalize } from './normalization.ts'
export {
  type DcLoops,
  type DcOptions,
  type DmOptions,
  dc,
  dm,
  type Learned,
  type Matched,
  type Matcher,
  type MatchingContext,
  type MttOptions,
  mtt,
  type Objective,
  type RunContext,
} from './objectives/index.ts'
export { type LdmOptions, ldmFfhq, ldmImageNet } from './presets.ts'
export { Prior, type PriorConfig, priorParameters } from './prior.ts'
export { type PriorOptions, priorFromCheckpoint } from './prior-file.ts'
export { type DenoiserRecipe, denoiserRecipe, emaDecayFor, type PriorRecipe, priorRecipe } from './prior-recipe.ts'
export { priorAtSize, withRandomDenoiser } from './prior-variants.ts'
export {
  type DiffusionOptions,
  diffuse,
  drawNoise,
  generate,
  type ProcessNoise,
  type ResolvedDiffusion,
  resolveDiffusion,
} from './process.ts'
export {
  type PaperObjective,
  type PaperRecipe,
  type PaperRow,
  type PaperSubset,
  type PaperTable,
  type PaperVariant,
  paperRecipe,
  paperRecipeByName,
  paperRowName,
  paperRows,
} from './recipes.ts'
export { accuracyParts, type ReportData, renderReport } from './report/index.ts'
export type { SampleOptions } from './sample.ts'
export { alphasCumprod, type DdimStep, ddimSteps, TRAIN_TIMESTEPS } from './schedule.ts'
export type {
  AutoencoderSpaceOptions,
  LatentDiffusionSpaceOptions,
  ParameterName,
  PixelSpaceOptions,
  SpaceOptions,
} from './spaces/index.ts'
export { type StudentIdentity, studentIdentity } from './student-identity.ts'
export type { DistilledSet } from './synthetic.ts'
export type { AutoencoderTraining } from './train-autoencoder.ts'
export type { DenoiserTraining } from './train-denoiser.ts'
export {
  type PriorTraining,
  planPriorTraining,
  type TrainedAutoencoder,
  type TrainedPrior,
  type TrainPriorOptions,
  trainPrior,
} from './train-prior.ts'
export { describeProtocol, paperProtocol, type TrainingProtocol } from './train-student.ts'
export { TrainingStopped, type TrainProgress } from './trainer.ts'
