// Keeps an unsent campaign in this tab: a session that ends, or a reload, must not cost what somebody has written.
(() => {
  const application = location.pathname.split("/")[2];
  const key = `clarion-draft-${application}`;
  const sending = `${key}-sending`;
  const store = (() => { try { return sessionStorage; } catch { return null; } })(); // storage may be forbidden
  if (!store) return;

  function keep(form) {
    const fields = new URLSearchParams(new FormData(form));
    fields.delete("csrfmiddlewaretoken"); // signing in makes it another one
    try { store.setItem(key, JSON.stringify({ at: Date.now(), fields: fields.toString() })); } catch { /* too long to keep */ }
  }

  // The server draws the form from what was typed, as it does when somebody goes back from the review.
  function goOn(form, draft) {
    const carrier = document.createElement("form");
    carrier.method = "post";
    carrier.action = form.action;
    const fields = new URLSearchParams(draft.fields);
    fields.set("step", "edit");
    fields.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    for (const [name, value] of fields) {
      const field = document.createElement("textarea"); // a hidden input would lose line breaks
      field.name = name;
      field.value = value;
      carrier.append(field);
    }
    carrier.hidden = true;
    document.body.append(carrier);
    carrier.submit();
  }

  function offer(notice, form) {
    const draft = JSON.parse(store.getItem(key) || "null");
    if (!draft) return;
    notice.querySelector("time").textContent = new Date(draft.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    notice.querySelector("[data-go-on]").addEventListener("click", () => goOn(form, draft));
    notice.querySelector("[data-discard]").addEventListener("click", () => { store.removeItem(key); notice.hidden = true; });
    notice.hidden = false;
  }

  const form = document.getElementById("compose");
  const notice = document.getElementById("draft");
  if (form && !form.elements.edited) {
    store.removeItem(sending);
    if (notice) offer(notice, form);
    for (const event of ["input", "change"]) form.addEventListener(event, () => keep(form));
  }
  if (document.getElementById("send")) store.removeItem(sending); // back on the review: nothing was sent
  document.getElementById("send")?.addEventListener("click", () => store.setItem(sending, "1"));
  if (document.getElementById("controls") && store.getItem(sending)) { // the page of the message that was sent
    store.removeItem(sending);
    store.removeItem(key);
  }
})();
