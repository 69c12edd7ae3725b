// Which channel the elements belong to that one invocation visits: it walks a group of [channels, inner] elements in
// steps of `stride`, and a division an element would cost more than the element.

struct ChannelWalk {
  channel: u32,
  offset: u32,
  channel_step: u32,
  offset_step: u32,
}

fn channel_walk(first_channel: u32, start: u32, stride: u32, inner: u32) -> ChannelWalk {
  return ChannelWalk(first_channel + start / inner, start % inner, stride / inner, stride % inner);
}

fn channel_next(walk: ptr<function, ChannelWalk>, inner: u32) {
  (*walk).channel += (*walk).channel_step;
  (*walk).offset += (*walk).offset_step;
  if ((*walk).offset >= inner) {
    (*walk).offset -= inner;
    (*walk).channel += 1u;
  }
}
