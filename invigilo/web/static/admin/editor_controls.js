// What stands in a control of the settings editor, as the server wants it, and back.

/** The controls of a setting itself: not those of rows within it. */
function controlsOf(element) {
  return [...element.querySelectorAll("[data-control]")].filter(
    (one) => one.closest("[data-cell], [data-setting]") === element,
  );
}

/** The value of a setting or of a cell: JSON of the setting's own type, or the typed text when it is none. */
export function valueOf(element) {
  const { kind, type } = element.dataset;
  if (kind === "table") return rowsOf(element.querySelector("[data-table]"));
  const [control] = controlsOf(element);
  if (kind === "check") return control.checked;
  if (kind === "password") return type === "secret" ? control.value : { password: control.value };
  const text = kind === "radio" ? (controlsOf(element).find((one) => one.checked)?.value ?? "") : control.value;
  if (type === "array") return text.split("\n").map((one) => one.trim()).filter(Boolean);
  if (type === "integer") return /^\s*[+-]?\d{1,15}\s*$/.test(text) ? Number(text) : text;
  if (type === "real") return text.trim() && Number.isFinite(Number(text.replace(",", "."))) ? Number(text.replace(",", ".")) : text;
  return text.replaceAll("\r\n", "\n");
}

/** All rows of a table. */
export function rowsOf(table) {
  return [...table.querySelector(":scope > [data-rows]").children].map((row) => {
    const cells = [...row.querySelectorAll("[data-cell]")].filter((cell) => cell.closest("[data-row]") === row);
    return Object.fromEntries(cells.map((cell) => [cell.dataset.cell, valueOf(cell)]));
  });
}

/** Show a value the server gave: a text, or a bool for checkboxes and for whether a password is set. */
export function show(setting, value) {
  const controls = controlsOf(setting);
  switch (setting.dataset.kind) {
    case "check":
      controls[0].checked = value;
      break;
    case "radio":
      for (const one of controls) one.checked = one.value === value;
      break;
    case "password":
      showPassword(setting, value);
      break;
    default:
      if (controls[0] && controls[0].value !== value) controls[0].value = value;
      follow(setting);
  }
}

function showPassword(setting, isSet) {
  const badge = setting.querySelector(".badge");
  badge.dataset.tone = isSet ? "ok" : "quiet";
  badge.textContent = isSet ? badge.dataset.set : badge.dataset.notSet;
  const remove = setting.querySelector("[data-remove]");
  remove.checked = false;
  remove.parentElement.hidden = !isSet;
}

/** What shows a control's value besides: a slider's number, the colour field beside its code. */
export function follow(setting) {
  const [control] = controlsOf(setting);
  const output = setting.querySelector("[data-output]");
  if (output) output.textContent = control.value;
  const colour = setting.querySelector("[data-colour]");
  if (colour && /^#[0-9a-f]{6}$/i.test(control.value)) colour.value = control.value;
}

export function lock(setting, isLocked) {
  setting.classList.toggle("is-locked", isLocked);
  for (const one of setting.querySelectorAll("[data-control], [data-remove], [data-colour]")) one.disabled = isLocked;
  const fieldset = setting.querySelector(":scope > fieldset");
  if (fieldset) fieldset.disabled = isLocked;
}
