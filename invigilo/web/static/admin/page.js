// What every page of the exam office needs: forms that warn before they lose something, copy buttons, filters that act.

/** A form with unsaved changes asks before the page is left. `data-unguarded` marks forms where nothing is lost. */
const guarded = [...document.querySelectorAll("form[method=post]")].filter((form) => !("unguarded" in form.dataset));
const changed = new Set();
for (const form of guarded) {
  form.addEventListener("input", () => changed.add(form));
  form.addEventListener("reset", () => changed.delete(form));
  form.addEventListener("submit", () => changed.delete(form));
}
addEventListener("beforeunload", (event) => {
  if (changed.size > 0) event.preventDefault();
});

/** After a form came back, the first field with a problem has the focus. */
document.querySelector(".has-problem :is(input, select, textarea)")?.focus();

/** `data-copy="id"` copies the text of that element and says so. */
for (const button of document.querySelectorAll("button[data-copy]")) {
  const before = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = before; }, 2000);
  });
}

/** A filter acts when it is chosen; without script its button does. */
for (const select of document.querySelectorAll(".list-filter select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
