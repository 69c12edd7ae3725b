"""What PyTorch decodes: taesd_torch.py WEIGHTS FOLDER COUNT SIZE, for experiments/taesd.ts."""

import pathlib
import sys
import time

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "test/golden"))
from make_goldens import Tiny  # noqa: E402

weights, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
count, size = int(sys.argv[3]), int(sys.argv[4])
model = Tiny(3, 32, 64, 3, 3, True)
for half in ("encoder", "decoder"):
    getattr(model, half).load_state_dict(torch.load(weights / f"taef2_{half}.pth", map_location="cpu"))
images = torch.from_numpy(np.fromfile(folder / "images.f32", dtype=np.float32)).reshape(count, 3, size, size)
started = time.time()
with torch.no_grad():
    decoded = torch.cat([model.decoder(model.encoder(part)) for part in images.split(10)])
print(f"PyTorch {torch.__version__}: {time.time() - started:.1f} s")
decoded.numpy().tofile(folder / "decoded.f32")
