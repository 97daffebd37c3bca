"use strict";
(() => {
  const PAGE = 50;
  let data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const fields = ["search", "level", "keyword", "state", "reason", "least", "most", "run"];
  const inputs = Object.fromEntries(fields.map((id) => [id, by(id)]).filter(([, e]) => e));
  let page = 0;
  let found = data.rows;

  // Every text goes in as text: nothing that a model wrote becomes an element.
  function make(tag, classes, text) {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    if (text !== undefined && text !== null) element.textContent = text;
    return element;
  }

  const words = (reason) => reason.replaceAll("_", " "); // as on the terminal
  function fill(select, values, said = String) {
    const known = new Set([...select.options].map((option) => option.value));
    const fresh = [...new Set(values)].filter((value) => value && !known.has(value));
    for (const value of fresh.sort()) {
      const option = make("option", "", said(value));
      option.value = value;
      select.append(option);
    }
  }
  function choices() {
    fill(inputs.keyword, data.rows.flatMap((row) => row.k));
    fill(inputs.reason, data.rows.map((row) => row.r), words);
  }
  choices();

  const spoken = new WeakMap();
  function searched(row) {
    if (!spoken.has(row)) {
      const parts = [row.i, row.q, row.p, row.a, row.c, ...row.o, ...row.k];
      spoken.set(row, parts.filter(Boolean).join("\n").toLowerCase());
    }
    return spoken.get(row);
  }

  function matches(row, want) {
    if (want.level && row.l !== want.level) return false;
    if (want.keyword && !row.k.includes(want.keyword)) return false;
    if (want.state && row.s !== want.state) return false;
    if (want.reason && row.r !== want.reason) return false;
    if (want.run && String(row.u) !== want.run) return false;
    if (want.least > 0 && !(row.v && row.v.m >= want.least - 1e-9)) return false;
    if (want.most < 1 && !(row.v && row.v.m <= want.most + 1e-9)) return false;
    return !want.search || searched(row).includes(want.search);
  }

  function wanted() {
    const want = Object.fromEntries(Object.entries(inputs).map(([id, e]) => [id, e.value]));
    want.search = want.search.trim().toLowerCase();
    want.least = Number(want.least) || 0;
    want.most = want.most === "" ? 1 : Number(want.most);
    return want;
  }

  function text(parent, title, value) {
    if (!value) return;
    parent.append(make("h3", "", title), make("div", "text", value));
  }

  function votes(parent, vote) {
    const share = `${Math.round(100 * vote.m)} % of ${vote.n} draws`;
    const interval = `95 % interval ${Math.round(100 * vote.lo)} to ${Math.round(100 * vote.hi)} %`;
    const right = vote.p === null ? "" : `; right with probability ${vote.p.toFixed(2)}`;
    parent.append(make("h3", "", `Vote: ${share}, ${interval}${right}; stopped: ${words(vote.w)}`));
    for (const group of vote.t) {
      const details = make("details");
      const count = group.t.length === 1 ? "1 draw" : `${group.t.length} draws`;
      details.append(make("summary", "", `${group.a}: ${count}`));
      for (const sample of group.t) {
        const heat = sample.h === null ? "" : `, temperature ${sample.h}`;
        const chosen = sample.w ? ", became the response" : "";
        const unread = sample.u ? `, ${sample.u}` : "";
        details.append(make("p", "note", `draw ${sample.n}${heat}${chosen}${unread}`));
        details.append(make("div", "text", sample.x));
      }
      parent.append(details);
    }
  }

  function open(row) {
    const body = make("div", "body");
    text(body, "Context", row.c);
    text(body, "Question", row.q || "(was not written)");
    if (row.o.length) {
      const list = make("ol", "options");
      row.o.forEach((option, i) => {
        const letter = String.fromCharCode(65 + i);
        list.append(make("li", row.a === letter ? "right" : "", option));
      });
      body.append(make("h3", "", "Options"), list);
    }
    text(body, "Response", row.p);
    text(body, "Answer", row.a);
    if (row.r) text(body, `Rejected by the ${row.g || "vote"}: ${words(row.r)}`, row.d || " ");
    if (row.e) text(body, "Evidence", JSON.stringify(row.e, null, 1));
    if (row.v) votes(body, row.v);
    body.append(make("h3", "", "Lineage"));
    for (const keyword of row.k) body.append(make("p", "note", `Keyword: ${lineage(keyword, data.banks[row.u])}`));
    if (row.b) body.append(make("p", "note", `Context: passage ${row.b}`));
    const id = row.i ? `; id ${row.i}` : "";
    const family = row.f ? `; family ${row.f}` : "";
    body.append(make("p", "note", `Level ${row.l}; unit ${row.n}${id}${family}`));
    return body;
  }

  // A keyword and one line of its ancestors, down to a core keyword, as `ds2 explain` says it.
  function lineage(keyword, bank) {
    const known = (text) => Object.hasOwn(bank, text);
    if (!known(keyword)) return `${keyword} (not in keywords.json)`;
    const steps = [keyword];
    for (let at = keyword; at !== undefined;) {
      at = bank[at].p.find((parent) => known(parent) && !steps.includes(parent));
      if (at !== undefined) steps.push(at);
    }
    const told = steps.map((text) => {
      const { o, r, g } = bank[text];
      return `${text} (${o}${r ? `, round ${r}` : ""}${g ? `, passage ${g}` : ""})`;
    });
    const beside = bank[keyword].p.filter((parent) => !steps.includes(parent));
    const more = beside.length ? `; shown beside it: ${beside.join(", ")}` : "";
    return told.join(" <- ") + more;
  }

  // The row that an element of the list shows: where it still does, the element stays, and with it
  // what its reader has opened, selected or reached by the keyboard.
  const shown = new WeakMap();
  const name = (row) => `${row.u}:${row.n}`;
  const same = (row, other) => row === other || JSON.stringify(row) === JSON.stringify(other);

  function lay(rows) {
    const list = by("list");
    const wanted = new Map(rows.map((row) => [name(row), row]));
    const there = new Map();
    for (const item of [...list.children]) {
      const row = shown.get(item);
      const next = wanted.get(name(row));
      if (next && same(row, next)) there.set(name(row), item);
      else item.remove();
    }
    let at = list.firstElementChild;
    for (const row of rows) {
      const item = there.get(name(row));
      if (item && item === at) at = at.nextElementSibling;
      else list.insertBefore(item || line(row), at);
    }
  }

  function say(id, text) {
    if (by(id).textContent !== text) by(id).textContent = text;
  }

  function line(row) {
    const item = make("li");
    shown.set(item, row);
    const details = make("details");
    const summary = make("summary");
    summary.append(make("span", `tag ${row.s}`, row.s === "rejected" ? `rejected: ${words(row.r)}` : row.s));
    summary.append(make("span", "tag", row.l));
    if (data.runs.length > 1) summary.append(make("span", "tag", data.runs[row.u]));
    if (row.v) summary.append(make("span", "tag", `${Math.round(100 * row.v.m)} %`));
    const question = row.q || `(not written) ${row.k.join(", ")}`;
    summary.append(document.createTextNode(question.length > 220 ? `${question.slice(0, 220)}…` : question));
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(open(row));
    });
    item.append(details);
    return item;
  }

  function show() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(0, page), pages - 1);
    lay(found.slice(page * PAGE, (page + 1) * PAGE));
    say("found", `${found.length} of ${data.rows.length} match.`);
    say("page", `page ${page + 1} of ${pages}`);
    by("previous").disabled = page === 0;
    by("next").disabled = page === pages - 1;
  }

  function find() {
    const want = wanted();
    found = data.rows.filter((row) => matches(row, want));
    show();
  }

  function filter() {
    page = 0;
    find();
  }

  by("filters").addEventListener("input", filter);
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("filters").addEventListener("reset", () => setTimeout(filter));
  by("previous").addEventListener("click", () => { page -= 1; show(); });
  by("next").addEventListener("click", () => { page += 1; show(); by("found").scrollIntoView(); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-keyword], button[data-reason]");
    if (!button) return;
    by("filters").reset();
    if (button.dataset.keyword) {
      fill(inputs.keyword, [button.dataset.keyword]); // none of its rows may be embedded
      inputs.keyword.value = button.dataset.keyword;
    }
    if (button.dataset.reason) inputs.reason.value = button.dataset.reason;
    if (button.dataset.level) inputs.level.value = button.dataset.level;
    if (inputs.run && button.dataset.run) inputs.run.value = button.dataset.run;
    filter();
    by("rows").focus();
  });
  show();

  // A live view puts new figures in the place of the old ones; its reader keeps what is open, chosen,
  // typed, selected and in focus, and the place on the page.
  const every = Number(document.body.dataset.refresh || 0);
  const parts = (root) => [...root.querySelectorAll("header, main > section:not([aria-labelledby=rows])")];
  const part = (element) => element.getAttribute("aria-labelledby") || element.tagName;
  const drawn = new Map(every > 0 ? parts(document).map((e) => [part(e), e.innerHTML]) : []);

  function reached(element) {
    const { keyword, level } = element.dataset;
    if (keyword !== undefined) return `${element.tagName} ${keyword} ${level}`;
    return `${element.tagName} ${element.getAttribute("aria-label") || element.textContent}`;
  }

  function selects(element) {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(element, true);
  }

  function swap(mine, next) {
    const inner = (tags) => [...mine.querySelectorAll(tags)];
    const open = new Set(inner("details[open] > summary").map((e) => e.textContent));
    const places = inner(".scroll, pre").map((e) => [e.scrollTop, e.scrollLeft]);
    const focus = mine.contains(document.activeElement) ? reached(document.activeElement) : null;
    mine.replaceChildren(...next.childNodes);
    for (const summary of inner("summary")) summary.parentNode.open = open.has(summary.textContent);
    inner(".scroll, pre").forEach((e, i) => { [e.scrollTop, e.scrollLeft] = places[i] || [0, 0]; });
    if (focus === null) return;
    const again = inner("a, button, summary, [tabindex]").find((e) => reached(e) === focus);
    if (again) again.focus({ preventScroll: true });
  }

  function place() {
    const all = [...document.querySelectorAll("h1, h2[id], figure[id], .heat tr, #list > li")];
    const at = all.findIndex((e) => e.getBoundingClientRect().bottom > 0);
    const was = all[at];
    if (!was || scrollY === 0) return () => {};
    const top = was.getBoundingClientRect().top;
    return () => {
      const now = was.isConnected ? was : was.id ? by(was.id) : null;
      if (now) scrollBy({ top: now.getBoundingClientRect().top - top, behavior: "instant" });
    };
  }

  function renew(next) {
    const back = place();
    for (const fresh of parts(next)) {
      const mine = parts(document).find((e) => part(e) === part(fresh));
      const inside = fresh.innerHTML;
      if (!mine || drawn.get(part(fresh)) === inside || selects(mine)) continue;
      drawn.set(part(fresh), inside);
      swap(mine, fresh);
    }
    const rows = JSON.parse(next.getElementById("data").textContent);
    const known = new Set(rows.rows.map(name));
    const held = [...by("list").children].filter((item) => item.querySelector("details[open]"));
    const kept = held.map((item) => shown.get(item)).filter((row) => !known.has(name(row)));
    data = { ...rows, rows: [...rows.rows, ...kept].sort((a, b) => a.u - b.u || a.n - b.n) };
    say("embedded", next.getElementById("embedded").textContent);
    document.title = next.title;
    choices();
    find();
    back();
  }

  let busy = false;
  async function look() {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const reply = await fetch("/", { cache: "no-store" });
      if (!reply.ok) throw new Error(await reply.text());
      renew(new DOMParser().parseFromString(await reply.text(), "text/html"));
      say("live", by("live").dataset.well);
    } catch {
      say("live", by("live").dataset.lost);
    } finally {
      busy = false;
    }
  }

  if (every > 0) {
    document.documentElement.style.overflowAnchor = "none"; // `place` does it for every browser
    setInterval(look, every * 1000);
  }
})();
