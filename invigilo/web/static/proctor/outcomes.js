// What became of a deed, told in a corner: never takes the focus, never covers what is being done, goes by itself.

import { icon, make, t } from "./page.js";

const STAYS = { ok: 6_000, warning: 15_000, problem: 30_000 };
const MOST = 4;

const place = document.querySelector("[data-outcomes]");

/** `action`: `{text, run}`, a next step that is offered and may be ignored. Returns a function that takes it away. */
export function tell(text, { tone = "ok", action = null } = {}) {
  const close = make("button", { type: "button", className: "quiet round", "aria-label": t("desk.close") }, icon("none"));
  const said = make("div", { className: "outcome-line", "data-tone": tone }, icon(tone), make("span", { className: "outcome-text" }, text));
  const remove = () => {
    clearTimeout(timer);
    said.remove();
  };
  if (action) {
    const button = make("button", { type: "button" }, action.text);
    button.addEventListener("click", () => {
      remove();
      action.run();
    });
    said.append(button);
  }
  said.append(close);
  close.addEventListener("click", remove);
  // Whoever reads or aims at it keeps it.
  let timer = setTimeout(remove, STAYS[tone]);
  for (const type of ["pointerenter", "focusin"]) said.addEventListener(type, () => clearTimeout(timer));
  for (const type of ["pointerleave", "focusout"]) {
    said.addEventListener(type, () => {
      clearTimeout(timer);
      timer = setTimeout(remove, STAYS[tone]);
    });
  }
  place.append(said);
  while (place.childElementCount > MOST) place.firstElementChild.remove();
  return remove;
}
