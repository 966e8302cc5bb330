// Every status has a colour, a shape and a word; this sets colour and shape.

/** `mark`: `ok`, `info`, `pending`, `warning` or `problem`. */
export function showMark(element, mark) {
  if (element.dataset.mark === mark && element.dataset.marked) return;
  element.dataset.mark = mark;
  element.dataset.marked = "yes";
  element.querySelector(".mark use").setAttribute("href", `#mark-${mark}`);
}
