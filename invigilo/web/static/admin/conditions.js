// Fields that matter only after a choice: `data-shown-when="name=value value"` (a checkbox's value is on or off).
// Without script all of them are there, and the server uses those that matter.

const parts = [...document.querySelectorAll("[data-shown-when]")];

const valueOf = (field) => (field.type === "checkbox" ? (field.checked ? "on" : "off") : field.value);

function show() {
  for (const part of parts) {
    const [name, values] = part.dataset.shownWhen.split("=");
    const field = part.closest("form").elements.namedItem(name);
    part.hidden = !values.split(" ").includes(valueOf(field));
  }
}

for (const form of new Set(parts.map((part) => part.closest("form")))) {
  form.addEventListener("change", show);
  form.addEventListener("reset", () => setTimeout(show));
}
show();
