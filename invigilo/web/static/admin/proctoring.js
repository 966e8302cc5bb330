// The dialog "Proctoring Settings": only the chosen service's section is shown, and a service can be tested where it is chosen.

import { runTest, showEntry } from "./proof.js";
import { csrfToken } from "./send.js";

const form = document.querySelector("form[data-settings]");
const sections = [...form.querySelectorAll("[data-service]")];
const services = [...form.querySelectorAll("input[name=service]")];
const unproven = form.querySelector("[data-unproven]");
const native = form.querySelector("[data-native]");

function chosenService() {
  return services.find((one) => one.checked)?.value;
}

/** Hidden is not gone: what was typed in another section is sent and stays. */
function show() {
  const service = chosenService();
  for (const section of sections) section.hidden = section.dataset.service !== service;
  let isProven = true;
  for (const section of sections) {
    const select = section.querySelector("[data-definition]");
    if (!select) continue;
    const fields = section.querySelector("[data-new]");
    if (fields) fields.hidden = select.value !== "new";
    const start = section.querySelector("[data-start]");
    if (start) start.hidden = select.value === "";
    const entered = select.selectedOptions[0]?.dataset.entered;
    const line = section.querySelector(".proof-entry");
    if (line) line.hidden = entered === undefined;
    if (line && entered !== undefined) showEntry(section, Number(entered) || null);
    if (!section.hidden) isProven = select.selectedOptions[0]?.dataset.proof === "ok";
  }
  if (unproven) unproven.hidden = isProven;
  if (native) {
    const can = native.dataset.native.split(" ").includes(service);
    native.querySelector("input").disabled = !can || services.every((one) => one.disabled);
    native.classList.toggle("is-off", !can);
    if (!can && native.querySelector("input").checked) form.querySelector("input[name=join_by][value=page]").checked = true;
  }
}

form.addEventListener("change", show);
form.querySelector("[name=collecting_room_size]").addEventListener("input", () => {
  form.querySelector("input[name=size_limit][value=limit]").checked = true;
});
show();

for (const section of sections) {
  const select = section.querySelector("[data-definition]");
  const start = section.querySelector("[data-start]");
  if (!start) continue;
  select.addEventListener("change", () => section.querySelector("[data-edit]")?.remove());
  start.addEventListener("click", async () => {
    start.disabled = true;
    try {
      const id = select.value === "new" ? await enter(section, select) : select.value;
      if (id) await test(section, select, id);
    } finally {
      start.disabled = false;
    }
  });
}

/** Keep a new service first, since only a kept one can be tested; its problems stand beside its fields. */
async function enter(section, select) {
  const prefix = `${section.dataset.service}.`;
  const fields = [...section.querySelectorAll("[data-new] :is(input, select, textarea)")];
  const body = new URLSearchParams({ service: section.dataset.service });
  for (const field of fields) body.set(field.name.slice(prefix.length), field.value);
  const headers = { accept: "application/json", "x-csrftoken": csrfToken() };
  const response = await fetch("/services", { method: "POST", headers, body });
  const answer = await response.json();
  for (const field of fields) say(field, answer.problems?.[field.name.slice(prefix.length)] ?? "");
  if (!response.ok) {
    if (!answer.problems) section.querySelector(".proof-word").textContent = answer.message;
    section.querySelector("[data-new] [aria-invalid=true]")?.focus();
    return null;
  }
  const option = new Option(body.get("name"), answer.id, true, true);
  option.dataset.proof = "none";
  option.dataset.entered = "";
  select.add(option, select.options.length - 1);
  for (const field of fields) if (field.tagName !== "SELECT") field.value = field.defaultValue;
  show();
  return answer.id;
}

function say(field, problem) {
  const box = field.closest(".field");
  box.querySelector(".field-problem")?.remove();
  box.classList.toggle("has-problem", Boolean(problem));
  field.setAttribute("aria-invalid", String(Boolean(problem)));
  if (!problem) return;
  field.closest("details")?.setAttribute("open", "");
  const line = document.createElement("p");
  line.className = "field-problem";
  line.id = `${field.name}-problem`;
  line.textContent = problem;
  (field.closest(".field-control") ?? field).after(line);
  field.setAttribute("aria-describedby", `${line.id} ${field.name}-help`);
}

async function test(section, select, id) {
  const { outcome, entered } = await runTest(`/services/${id}/test`, section.querySelector(".proof"));
  const option = [...select.options].find((one) => one.value === String(id));
  if (option && outcome !== "broken") {
    option.dataset.proof = outcome;
    option.dataset.entered = entered ?? "";
  }
  show();
}
