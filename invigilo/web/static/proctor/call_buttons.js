// "Talk alone" and "Message" beside a candidate, wherever candidates are shown.

import { icon, make, set, t } from "./page.js";

/** Each button has `show(row)`. `calls`: the page's `Calls`. */
export function callButtons(id, calls, className = "round tile-call") {
  const button = (shape, text, need, act, more = () => ({})) => {
    const made = make("button", { type: "button", className }, icon(shape));
    made.addEventListener("click", (event) => {
      event.preventDefault();
      act();
    });
    let shown = null;
    const describe = () => {
      if (!shown) return;
      const { why = "", words = "" } = more(shown);
      set(made, "aria-disabled", why ? "true" : null);
      set(made, "title", why || `${t(text, { name: shown.name })}${words && `. ${words}`}`);
    };
    for (const look of ["pointerenter", "focus"]) made.addEventListener(look, describe); // hosts come and go, rows stay as they are
    made.show = (row) => {
      shown = row;
      made.hidden = !calls.can(need) || row.state === "closed" || row.state === "disabled";
      set(made, "aria-label", t(text, { name: row.name }));
      describe();
    };
    return made;
  };
  return [
    button("talk", "call.talk_with", "one_to_one", () => calls.talkAlone(id), (row) => {
      return row.called?.kind === "break_out" ? {} : { why: calls.whyNoCall, words: calls.hostWords };
    }),
    button("mail", "call.write_to", "chat", () => calls.panel.open(id)),
  ];
}
