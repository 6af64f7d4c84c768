// Keeps the page current. The server renders everything; this script only fetches the page
// again when an event concerns it and puts the parts marked data-live in place of the old ones.
"use strict";

(() => {
  const live = document.getElementById("live");
  const watch = document.body.dataset.watch;
  let timer = 0;
  let busy = false;
  let again = false;

  const say = (state, text) => {
    live.className = "live " + state;
    if (live.textContent !== text) live.textContent = text;
  };

  const swap = (now, next) => {
    if (now.innerHTML === next.innerHTML) return;
    const before = new Map();
    for (const row of now.querySelectorAll("tr[id]")) before.set(row.id, row.innerHTML);
    const open = new Set(Array.from(now.querySelectorAll("details[open][id]"), (d) => d.id));
    const focus = now.contains(document.activeElement) ? document.activeElement : null;
    const key = focus && (focus.id ? "#" + CSS.escape(focus.id) : focus.getAttribute("href") && 'a[href="' + CSS.escape(focus.getAttribute("href")) + '"]');
    const scrolled = new Map(Array.from(now.querySelectorAll(".long[id]"), (l) => [l.id, l.scrollTop]));
    now.replaceChildren(...next.childNodes);
    for (const row of now.querySelectorAll("tr[id]")) {
      if (before.get(row.id) !== row.innerHTML) row.classList.add("fresh");
    }
    for (const d of now.querySelectorAll("details[id]")) if (open.has(d.id)) d.open = true;
    for (const l of now.querySelectorAll(".long[id]")) l.scrollTop = scrolled.get(l.id) || 0;
    const again = key && now.querySelector(key);
    if (again) again.focus({ preventScroll: true });
  };

  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const res = await fetch(location.href, { cache: "no-store" });
      const next = new DOMParser().parseFromString(await res.text(), "text/html");
      if (document.body.dataset.watch !== next.body.dataset.watch) { location.reload(); return; }
      for (const now of document.querySelectorAll("[data-live]")) {
        const part = next.getElementById(now.id);
        if (part) swap(now, part);
      }
      filter();
      ages();
    } catch {
      say("off", "connection lost");
    } finally {
      busy = false;
      if (again) { again = false; schedule(); }
    }
  };

  const schedule = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; refresh(); }, 200);
  };

  const listen = () => {
    const source = new EventSource("/events?node=" + watch);
    source.addEventListener("hello", () => { say("on", "live"); schedule(); });
    source.addEventListener("change", schedule);
    source.onerror = () => say("off", "connection lost, trying again");
  };

  const ages = () => {
    for (const t of document.querySelectorAll("time[datetime]")) {
      const s = Math.round((Date.now() - Date.parse(t.dateTime)) / 1000);
      t.title = s < 0 ? "in the future" : s < 120 ? s + " s ago" : s < 7200 ? Math.round(s / 60) + " min ago" : Math.round(s / 3600) + " h ago";
    }
  };

  const filter = () => {
    const text = document.getElementById("filter");
    if (!text) return;
    const want = text.value.toLowerCase();
    const only = document.getElementById("only").checked;
    for (const row of document.querySelectorAll("tr[data-fact]")) {
      row.hidden = !row.textContent.toLowerCase().includes(want) || (only && !row.classList.contains("ext"));
    }
  };

  const command = async (button) => {
    if (button.dataset.confirm && !confirm(button.dataset.confirm)) return;
    const answer = document.getElementById("answer");
    try {
      const res = await fetch("/api/commands/" + button.dataset.command, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: "Bearer " + document.getElementById("token").value },
        body: JSON.stringify({ name: button.dataset.name }),
      });
      const body = await res.json();
      answer.textContent = body.result || body.error;
    } catch {
      answer.textContent = "the server did not answer";
    }
  };

  const token = document.getElementById("token");
  token.value = sessionStorage.getItem("token") || "";
  const lock = () => {
    const locked = token.value.trim() === "";
    for (const button of document.querySelectorAll("button[data-command]")) button.disabled = locked;
    const why = document.getElementById("locked");
    if (why) why.hidden = !locked;
  };
  lock();
  token.addEventListener("input", lock);
  token.addEventListener("change", () => sessionStorage.setItem("token", token.value));
  document.getElementById("unlock").addEventListener("submit", (e) => e.preventDefault());
  document.addEventListener("click", (e) => {
    const button = e.target.closest("button[data-command]");
    if (button) command(button);
  });
  for (const id of ["filter", "only"]) {
    const box = document.getElementById(id);
    if (box) box.addEventListener("input", filter);
  }
  setInterval(ages, 5000);
  ages();
  listen();
})();
