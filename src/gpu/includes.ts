import activation from '../../wgsl/include/activation.wgsl'
import broadcast from '../../wgsl/include/broadcast.wgsl'
import channel_walk from '../../wgsl/include/channel_walk.wgsl'
import elements from '../../wgsl/include/elements.wgsl'
import folded from '../../wgsl/include/folded.wgsl'
import gemm_lanes from '../../wgsl/include/gemm_lanes.wgsl'
import gemm_step from '../../wgsl/include/gemm_step.wgsl'
import gemm_sums from '../../wgsl/include/gemm_sums.wgsl'
import gemm_tiles from '../../wgsl/include/gemm_tiles.wgsl'
import gemm_walk from '../../wgsl/include/gemm_walk.wgsl'
import keep_nan from '../../wgsl/include/keep_nan.wgsl'
import linear from '../../wgsl/include/linear.wgsl'
import nan from '../../wgsl/include/nan.wgsl'
import norm_tangent from '../../wgsl/include/norm_tangent.wgsl'
import order from '../../wgsl/include/order.wgsl'
import philox from '../../wgsl/include/philox.wgsl'
import point_weight from '../../wgsl/include/point_weight.wgsl'
import quotient from '../../wgsl/include/quotient.wgsl'
import team_alone from '../../wgsl/include/team_alone.wgsl'
import team_subgroup from '../../wgsl/include/team_subgroup.wgsl'
import team_workgroup from '../../wgsl/include/team_workgroup.wgsl'
import windows from '../../wgsl/include/windows.wgsl'

/** The shared parts of kernels, by the name that `#include` and `#choose` use. */
export const includes: Record<string, string> = {
  ...{
    activation,
    broadcast,
    channel_walk,
    elements,
    keep_nan,
    linear,
    nan,
    norm_tangent,
    order,
    philox,
    point_weight,
    quotient,
    windows,
  },
  ...{ folded, gemm_lanes, gemm_step, gemm_sums, gemm_tiles, gemm_walk },
  ...{ team_alone, team_subgroup, team_workgroup },
}
