import activation from '../../wgsl/include/activation.wgsl'
import broadcast from '../../wgsl/include/broadcast.wgsl'
import channel_walk from '../../wgsl/include/channel_walk.wgsl'
import elements from '../../wgsl/include/elements.wgsl'
import linear from '../../wgsl/include/linear.wgsl'
import philox from '../../wgsl/include/philox.wgsl'
import quotient from '../../wgsl/include/quotient.wgsl'
import store_each from '../../wgsl/include/store_each.wgsl'
import store_four from '../../wgsl/include/store_four.wgsl'
import team_alone from '../../wgsl/include/team_alone.wgsl'
import team_subgroup from '../../wgsl/include/team_subgroup.wgsl'
import team_workgroup from '../../wgsl/include/team_workgroup.wgsl'
import windows from '../../wgsl/include/windows.wgsl'

/** The shared parts of kernels, by the name that `#include` and `#choose` use. */
export const includes: Record<string, string> = {
  ...{ activation, broadcast, channel_walk, elements, linear, philox, quotient, windows },
  ...{ store_each, store_four, team_alone, team_subgroup, team_workgroup },
}
