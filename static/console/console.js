// Comforts only: every page works without this file.
(() => {
  const root = document.documentElement;

  function toggleTheme() {
    const next = root.dataset.bsTheme === "dark" ? "light" : "dark";
    root.dataset.bsTheme = next;
    try { localStorage.setItem("clarion-theme", next); } catch { /* storage may be forbidden */ }
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.querySelector("span").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // no permission: the text is at least selected
    }
  }

  function removeRow(button) {
    const form = button.form;
    const row = button.closest("[data-row]");
    (row.previousElementSibling?.querySelector("input") || document.getElementById("add-header")).focus();
    row.remove();
    form.dispatchEvent(new Event("change", { bubbles: true }));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.theme !== undefined) toggleTheme();
    if (button?.dataset.copy) copy(button);
    if (button?.dataset.removeRow !== undefined) removeRow(button);
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // The next person at this tab must not find the drafts of the last.
  document.addEventListener("submit", (event) => {
    if (event.target.action.endsWith("/logout/")) {
      try { sessionStorage.clear(); } catch { /* storage may be forbidden */ }
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // What somebody opened stays open when a poll or a key press brings the part anew.
  let opened = [];
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    opened = [...event.detail.target.querySelectorAll("details[id][open]")].map((details) => details.id);
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  });

  // Pages speak UTC, so that all who look at one mean the same moment; beside it stands what the reader's clock says.
  function addLocalTimes() {
    for (const time of document.querySelectorAll("time[data-local]:not([title])")) {
      const at = new Date(time.dateTime);
      time.title = at.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
      if (at.getTimezoneOffset() === 0) continue;
      const isSameDay = at.getDate() === at.getUTCDate();
      const local = at.toLocaleString([], isSameDay ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
      time.append(` (${local} here)`);
    }
  }
  addLocalTimes();
  document.body.addEventListener("htmx:afterSettle", addLocalTimes);

  // A new message is meant in the writer's own zone until they say otherwise.
  const zone = document.querySelector("select[data-own-zone]");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && [...zone.options].some((option) => option.value === own)) zone.value = own;

  // Fragments answer 200; anything else would leave the page silently stale.
  const stale = document.getElementById("stale");
  document.body.addEventListener("htmx:sendError", () => { stale.hidden = false; });
  document.body.addEventListener("htmx:afterOnLoad", (event) => { stale.hidden = event.detail.xhr.status < 500; });
})();
