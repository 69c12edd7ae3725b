import { expect, test } from 'vitest'
import { ops, scope, tensor } from '../../src/autograd/index.ts'
import { draw, expectClose, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

test('a step is guidance, predicted clean latent, residual, direction and noise, in that order', async () => {
  const device = await testDevice()
  const random = uniform(4)
  const [z, ec, eu, residual, noise] = Array.from({ length: 5 }, () => draw({ shape: [2, 3, 4, 4] }, random))
  const [alphaBar, alphaBarPrev, guidance, residualWeight, sigma] = [0.0087, 0.0312, 3, 0.778, 0.4] as const
  const expected = z!.data.map((v, i) => {
    const e = eu!.data[i]! + guidance * (ec!.data[i]! - eu!.data[i]!)
    let clean = (v - Math.sqrt(1 - alphaBar) * e) / Math.sqrt(alphaBar)
    clean = (1 - residualWeight) * clean + residualWeight * residual!.data[i]!
    return Math.sqrt(alphaBarPrev) * clean + Math.sqrt(1 - alphaBarPrev - sigma ** 2) * e + sigma * noise!.data[i]!
  })
  const result = scope(() => {
    const [tz, tec, teu, tr, tn] = [z, ec, eu, residual, noise].map((x) =>
      tensor(device, Float32Array.from(x!.data), { shape: x!.shape }),
    )
    return ops.ddimStep(
      { z: tz!, eps: tec!, epsUncond: teu!, residual: tr!, noise: tn! },
      { alphaBar, alphaBarPrev, guidance, residualWeight, sigma },
    )
  })
  expectClose(await result.read(), expected, 1e-6, 'ddimStep')
})

test('says which tensor a coefficient needs', async () => {
  const device = await testDevice()
  scope(() => {
    const z = tensor(device, [1, 2])
    const schedule = { alphaBar: 0.5, alphaBarPrev: 0.7 }
    expect(() => ops.ddimStep({ z, eps: z }, { ...schedule, guidance: 3 })).toThrow(/epsUncond is missing/)
    expect(() => ops.ddimStep({ z, eps: z }, { ...schedule, residualWeight: 0.5 })).toThrow(/residual is missing/)
    expect(() => ops.ddimStep({ z, eps: z, noise: z }, { ...schedule, sigma: 0.6 })).toThrow(/sigma is 0.6/)
    expect(() => ops.ddimStep({ z, eps: z }, { ...schedule, alphaBar: 1.5 })).toThrow(/alphaBar is 1.5/)
    expect(() => ops.ddimStep({ z, eps: tensor(device, [1]) }, schedule)).toThrow(/tensor 1 has shape \[1\]/)
  })
})
