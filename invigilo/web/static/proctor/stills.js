// Stills into <img>: the newest only, and none that nobody can see.

/** Show a JPEG; the one before it is freed when the new one is there. */
export function showStill(image, jpeg) {
  if (image.busy) return false; // slower than they come: leave this one out
  const address = URL.createObjectURL(new Blob([jpeg], { type: "image/jpeg" }));
  const before = image.address;
  image.busy = true;
  image.address = address;
  const done = () => {
    image.busy = false;
    if (before) URL.revokeObjectURL(before);
  };
  image.onload = done;
  image.onerror = done;
  image.src = address;
  return true;
}

export function clearStill(image) {
  if (image.address) URL.revokeObjectURL(image.address);
  image.address = null;
  image.busy = false;
  image.removeAttribute("src");
}
