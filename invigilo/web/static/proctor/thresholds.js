// The exam's thresholds, in a dialog. Who may change the exam may change them; everybody may look.

import { load, make, page, post, say, t } from "./page.js";
import { INDICATORS } from "./heat_map.js";
import { tell } from "./outcomes.js";

const find = (name) => document.querySelector(`[data-${name}]`);
const dialog = find("thresholds-dialog");
const form = find("thresholds-form");
let revision = 0;

function field(indicator, name, value) {
  const input = make("input", { type: "number", name: `${indicator}.${name}`, min: 0, step: 1, value: value ?? "", inputMode: "numeric" });
  input.disabled = !page.mayChange;
  return make("label", {}, t(`thresholds.${name}`), input);
}

function line(indicator, pair) {
  const isOn = make("input", { type: "checkbox", name: `${indicator}.on`, checked: pair !== null });
  isOn.disabled = !page.mayChange;
  const legend = make("legend", {}, make("label", { className: "check" }, isOn, t(`thresholds.${indicator}`)));
  return make("fieldset", { className: "threshold" }, legend, field(indicator, "warning", pair?.warning), field(indicator, "problem", pair?.problem));
}

async function open() {
  let found;
  try {
    found = await load(`${page.base}/thresholds`);
  } catch (error) {
    return tell(t("connection.failed", { message: error.message }), { tone: "problem" });
  }
  revision = found.revision;
  find("thresholds-fields").replaceChildren(...INDICATORS.map((one) => line(one, found[one])));
  say(find("thresholds-problem"), "");
  find("thresholds-save").hidden = !page.mayChange;
  dialog.showModal();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { revision };
  for (const one of INDICATORS) {
    const on = form.elements[`${one}.on`].checked;
    const value = (name) => Math.trunc(Number(form.elements[`${one}.${name}`].value));
    body[one] = on ? { warning: value("warning"), problem: value("problem") } : null;
  }
  try {
    await post(`${page.base}/thresholds`, body);
    dialog.close();
    tell(t("thresholds.saved"));
  } catch (error) {
    say(find("thresholds-problem"), error.message);
  }
});
find("thresholds-close").addEventListener("click", () => dialog.close());
find("thresholds-open").addEventListener("click", open);
