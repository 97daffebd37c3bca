"use strict";
(() => {
  const PAGE = 50;
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const fields = ["search", "level", "keyword", "state", "reason", "least", "run"];
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

  function fill(select, values) {
    for (const value of [...values].sort()) select.append(make("option", "", value));
  }
  fill(inputs.keyword, new Set(data.rows.flatMap((row) => row.k)));
  fill(inputs.reason, new Set(data.rows.map((row) => row.r).filter(Boolean)));

  const spoken = new WeakMap();
  function words(row) {
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
    return !want.search || words(row).includes(want.search);
  }

  function wanted() {
    const want = Object.fromEntries(Object.entries(inputs).map(([id, e]) => [id, e.value]));
    want.search = want.search.trim().toLowerCase();
    want.least = Number(want.least) || 0;
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
    parent.append(make("h3", "", `Vote: ${share}, ${interval}${right}; stopped: ${vote.w}`));
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
    if (row.r) text(body, `Rejected by the ${row.g || "vote"}: ${row.r}`, row.d || " ");
    if (row.e) text(body, "Evidence", JSON.stringify(row.e, null, 1));
    if (row.v) votes(body, row.v);
    const from = `Level ${row.l}; keywords: ${row.k.join(", ")}; unit ${row.n}`;
    const id = row.i ? `; id ${row.i}` : "";
    const family = row.f ? `; family ${row.f}` : "";
    body.append(make("h3", "", "Lineage"), make("p", "note", from + id + family));
    return body;
  }

  function line(row) {
    const item = make("li");
    const details = make("details");
    const summary = make("summary");
    summary.append(make("span", `tag ${row.s}`, row.s === "rejected" ? `rejected: ${row.r}` : row.s));
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
    by("list").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(line));
    by("found").textContent = `${found.length} of ${data.rows.length} match.`;
    by("page").textContent = `page ${page + 1} of ${pages}`;
    by("previous").disabled = page === 0;
    by("next").disabled = page === pages - 1;
  }

  function filter() {
    const want = wanted();
    found = data.rows.filter((row) => matches(row, want));
    page = 0;
    show();
  }

  by("filters").addEventListener("input", filter);
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("filters").addEventListener("reset", () => setTimeout(filter));
  by("previous").addEventListener("click", () => { page -= 1; show(); });
  by("next").addEventListener("click", () => { page += 1; show(); by("found").scrollIntoView(); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-keyword]");
    if (!button) return;
    by("filters").reset();
    // A keyword none of whose rows is embedded has no option yet.
    const known = [...inputs.keyword.options].some((o) => o.value === button.dataset.keyword);
    if (!known) fill(inputs.keyword, [button.dataset.keyword]);
    inputs.keyword.value = button.dataset.keyword;
    if (button.dataset.level) inputs.level.value = button.dataset.level;
    if (inputs.run && button.dataset.run) inputs.run.value = button.dataset.run;
    filter();
    by("rows").focus();
  });
  show();

  // A live view looks again, but not under the eyes of someone who reads a row.
  const every = Number(document.body.dataset.refresh || 0);
  if (every > 0) {
    setInterval(() => {
      const reading = document.querySelector("details[open]") || found.length < data.rows.length;
      if (!reading && page === 0) location.reload();
    }, every * 1000);
  }
})();
