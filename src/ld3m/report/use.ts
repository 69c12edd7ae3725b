import { type Html, html } from './html.ts'

/** How to train on the set elsewhere; with the learning rate that it carries, where one was learned. */
export function useSection(file: string, learningRate: number | undefined): Html {
  const python = `from safetensors.torch import load_file

data = load_file(${JSON.stringify(file)})
images, labels = data["images"], data["labels"].long()
mean, std = data["mean"].view(-1, 1, 1), data["std"].view(-1, 1, 1)
inputs = (images - mean) / std${learningRate === undefined ? '' : '\nlearning_rate = data["student_learning_rate"].item()'}`
  return html`<section aria-labelledby="use">
  <h2 id="use">Use</h2>
  <p class="lead">The images are in ${file}, 32-bit floats from 0 to 1; networks are to see them normalised. In PyTorch:</p>
  <pre class="scroll"><code>${python}</code></pre>
  <p class="note"><code>ld3m-gpu export</code> writes them as an npz file or as a folder of PNG files.</p>
</section>`
}
