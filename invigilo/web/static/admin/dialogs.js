// A dialog opens from its button (`data-dialog="id"`), closes with Escape or its own button, and gives the focus back.
//
// No module, and at the head of the page: a button that asks first is a form's button where there is no script, so whoever is
// quicker than the modules would do the deed without being asked.

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dialog], dialog [data-close]");
  if (!button) return;
  event.preventDefault();
  if ("close" in button.dataset) button.closest("dialog").close();
  else document.getElementById(button.dataset.dialog)?.showModal();
});
