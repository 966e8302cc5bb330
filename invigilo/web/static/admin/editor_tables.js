// Tables of the settings editor: rows added, moved and removed in place, by mouse and by keyboard alike.

import { rowsOf } from "./editor_controls.js";

/** Act on one of a table's buttons. Returns whether it was one; `say` announces, `changed` saves the setting. */
export function act(button, { changed, say }) {
  const table = button.closest("[data-table]");
  const row = button.closest("[data-row]");
  const setting = button.closest("[data-setting]"); // asked before the row, and the button with it, is gone
  if (!table) return false;
  if ("add" in button.dataset) add(table, say);
  else if ("removeRow" in button.dataset) remove(table, row, say);
  else if ("up" in button.dataset) move(row, row.previousElementSibling, "before", button, say);
  else if ("down" in button.dataset) move(row, row.nextElementSibling, "after", button, say);
  else return false;
  count(table);
  changed(setting);
  return true;
}

function add(table, say) {
  const row = table.querySelector(":scope > template").content.firstElementChild.cloneNode(true);
  for (const one of row.querySelectorAll("[id]")) one.removeAttribute("id");
  const rows = table.querySelector(":scope > [data-rows]");
  rows.append(row);
  const details = row.querySelector(":scope > details");
  if (details) details.open = true;
  (row.querySelector("input[type=text], textarea") ?? row.querySelector("input, select"))?.focus();
  say("row_added", { n: rows.children.length });
}

function remove(table, row, say) {
  const rows = [...row.parentElement.children];
  const place = rows.indexOf(row);
  const next = rows[place + 1] ?? rows[place - 1];
  row.remove();
  (next?.querySelector(":scope > .row-buttons [data-remove-row]") ?? table.querySelector(":scope > [data-add]")).focus();
  say("row_removed", { n: place + 1 });
}

function move(row, beside, where, button, say) {
  if (!beside) return;
  beside[where](row);
  const isHidden = getComputedStyle(button).visibility === "hidden";
  (isHidden ? row.querySelector(where === "before" ? "[data-down]" : "[data-up]") : button).focus();
  say("row_moved", { n: [...row.parentElement.children].indexOf(row) + 1 });
}

function count(table) {
  const n = rowsOf(table).length;
  table.querySelector(":scope > .no-rows").hidden = n > 0;
  table.querySelector(":scope > input[type=hidden]").value = n;
  const setting = table.closest("[data-setting]");
  const shown = setting.querySelector("[data-count]");
  if (shown && setting.querySelector("[data-table]") === table) shown.textContent = n;
}

/** The closed row says what its cells say. */
export function summarise(cell) {
  const row = cell.closest("[data-row]");
  const shown = row?.querySelector(`:scope > details > summary [data-of="${cell.dataset.cell}"]`);
  if (!shown) return;
  const control = cell.querySelector("[data-control]");
  if (control.type === "checkbox") shown.textContent = control.checked ? "●" : "○";
  else shown.textContent = control.selectedOptions ? control.selectedOptions[0].textContent : control.value;
}

/** The part of a table that a finding is about: `URLFilterRules[2].expression`. */
export function cellAt(setting, path) {
  let place = setting;
  for (const [, index, key] of path.matchAll(/\[(\d+)\]\.(\w+)/g)) {
    const row = place?.querySelector("[data-table] > [data-rows]")?.children[Number(index)];
    place = row?.querySelector(`[data-cell="${key}"]`);
  }
  return place === setting ? null : place;
}
