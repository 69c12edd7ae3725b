// The derivative of group normalisation before its activation, z = x̂·weight + bias, along a direction: u for x, and for
// weight and bias what `directions` holds, first of all channels' weights, then of all their biases. By x̂ = (x − μ)·r
// and moments = (μ, r, mean(u), mean(u·x̂)) it is
//
//     q = weight·p + x̂·directions_w + directions_b,   p = r·(u − mean(u) − x̂·mean(u·x̂))
//
// The kernel declares V, W, WEIGHT, BIAS and the bindings weight, bias and directions.

fn direction_x(u: V, normalised: V, moments: vec4f) -> V {
  return moments.y * (u - moments.z - normalised * moments.w);
}

fn scale_of(channel: u32) -> V {
  if (WEIGHT) { return V(weight[channel]); }
  return V(1.0);
}

fn before_activation(normalised: V, channel: u32) -> V {
  var z = normalised * scale_of(channel);
  if (BIAS) { z += V(bias[channel]); }
  return z;
}

fn tangent(along_x: V, normalised: V, channel: u32, channels: u32) -> V {
  return scale_of(channel) * along_x + normalised * V(directions[channel]) + V(directions[channels + channel]);
}
