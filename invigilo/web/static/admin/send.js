// What scripts of the exam office send along with a deed.

/** The token that shows the server that this page sends, and no other site. */
export function csrfToken() {
  const found = document.cookie.split("; ").find((one) => one.startsWith("csrftoken="));
  return found ? found.slice("csrftoken=".length) : "";
}
