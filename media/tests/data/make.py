"""Makes the pictures of tests/media/images.rs with Pillow and numpy (versions: see the end).

The source is a formula, so that only results are stored: resized pictures as PNG, a JPEG with an
EXIF orientation, a PNG with alpha.
"""
import numpy as np
from PIL import Image

W, H = 45, 31
y, x, c = np.mgrid[0:H, 0:W, 0:3]
source = ((x * 37 + y * 101 + c * 59 + x * y * 7) % 256).astype(np.uint8)
smooth = ((x * 5 + y * 3 + c * 40) % 256).astype(np.uint8)
source[:, 20:] = smooth[:, 20:]
picture = Image.fromarray(source)
for w, h in [(20, 14), (64, 48), (45, 10), (13, 31)]:
    picture.resize((w, h), Image.Resampling.LANCZOS).save(f"lanczos_{w}x{h}.png", optimize=True)


# torch's bicubic, in double precision from its definition.
def cubic(n_in, n_out):
    matrix = np.zeros((n_out, n_in))
    a = -0.75
    for i in range(n_out):
        place = n_in / n_out * (i + 0.5) - 0.5
        first = int(np.floor(place))
        t = place - first
        near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1
        far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        for k, w in enumerate([far(t + 1), near(t), near(1 - t), far(2 - t)]):
            matrix[i, min(max(first - 1 + k, 0), n_in - 1)] += w
    return matrix


for w, h in [(20, 14), (64, 48)]:
    out = np.einsum("iy,yxc,jx->ijc", cubic(H, h), source / 255.0, cubic(W, w))
    np.round(out * 10000).astype("<i2").tofile(f"bicubic_{w}x{h}.i16")

# Left half red, right half blue as displayed; stored turned, with orientation 6.
upright = np.zeros((32, 64, 3), np.uint8)
upright[:, :32, 0] = 255
upright[:, 32:, 2] = 255
exif = Image.Exif()
exif[0x0112] = 6
stored = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
stored.save("turned.jpg", quality=95, subsampling=0, exif=exif)
stored.save("turned.webp", lossless=True, exif=exif)

alpha = np.full((2, 2, 4), 255, np.uint8)
alpha[0, 1, 3] = 51
alpha[1, 0, 3] = 0
Image.fromarray(alpha).save("alpha.png")
# Pillow 13.0.0, numpy 2.4.6
