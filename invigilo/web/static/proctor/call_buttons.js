// "Talk alone" and "Message" beside a candidate, wherever candidates are shown.

import { icon, make, set, t } from "./page.js";

/** Each button has `show(row)`. `calls`: the page's `Calls`. */
export function callButtons(id, calls, className = "round tile-call") {
  const button = (shape, text, need, act) => {
    const made = make("button", { type: "button", className }, icon(shape));
    made.addEventListener("click", (event) => {
      event.preventDefault();
      act();
    });
    made.show = (row) => {
      made.hidden = !calls.can(need) || row.state === "closed" || row.state === "disabled";
      set(made, "aria-label", t(text, { name: row.name }));
      set(made, "title", t(text, { name: row.name }));
    };
    return made;
  };
  return [
    button("talk", "call.talk_with", "one_to_one", () => calls.talkAlone(id)),
    button("mail", "call.write_to", "chat", () => calls.panel.open(id)),
  ];
}
