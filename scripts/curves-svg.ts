/** A picture of loss curves, a panel each, the losses on a logarithmic axis. */
export function curvesSvg(panels: readonly { title: string; values: readonly number[]; every: number }[]): string {
  const [width, height, left, top, gap] = [440, 220, 48, 28, 24]
  const drawn = panels.map(({ title, values, every }, i) => {
    const logs = values.map(Math.log10)
    const [low, high] = [Math.min(...logs), Math.max(...logs)]
    const x = (k: number) => left + ((width - left - 8) * k) / (values.length - 1)
    const y = (log: number) => top + ((height - top - 36) * (high - log)) / (high - low)
    const ticks = [high, (high + low) / 2, low].map(
      (log) =>
        `<line x1="${left}" x2="${width - 8}" y1="${y(log)}" y2="${y(log)}" stroke="#ddd"/>` +
        `<text x="${left - 6}" y="${y(log) + 4}" text-anchor="end">${(10 ** log).toPrecision(2)}</text>`,
    )
    const points = logs.map((log, k) => `${x(k).toFixed(1)},${y(log).toFixed(1)}`).join(' ')
    const steps = [0, values.length >> 1, values.length - 1].map(
      (k) => `<text x="${x(k)}" y="${height - 18}" text-anchor="middle">${k === 0 ? 0 : (k + 1) * every}</text>`,
    )
    return (
      `<g transform="translate(${i * (width + gap)} 0)"><text x="${left}" y="16" font-weight="600">${title}</text>` +
      `${ticks.join('')}<polyline points="${points}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>` +
      `${steps.join('')}<text x="${(left + width) / 2}" y="${height - 2}" text-anchor="middle">step</text></g>`
    )
  })
  const all = panels.length * (width + gap) - gap
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${all} ${height}" width="${all}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12" fill="#333"><title>${panels.map(({ title }) => `Loss of the ${title.toLowerCase()}`).join('; ')}</title>` +
    `<rect width="100%" height="100%" fill="#fff"/>` +
    `${drawn.join('')}</svg>\n`
  )
}
