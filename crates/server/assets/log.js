// The list of messages and notes. Everything that came over the line goes in as textContent, never as markup.

/** Rows kept in the page; older ones scroll out of existence. */
const ROWS_MOST = 500;
const HUES = 8;

/** The same person has the same colour in every window. */
export function face(user) {
  const element = document.createElement('span');
  let sum = 0;
  for (const letter of user) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  element.className = `face hue-${sum % HUES}`;
  element.textContent = [...user][0] ?? '?';
  element.ariaHidden = 'true';
  return element;
}

export class Log {
  #list;
  #newer;
  #user = '';
  #waiting = new Map();

  constructor(list, newer) {
    this.#list = list;
    this.#newer = newer;
    newer.onclick = () => this.#toEnd();
    list.onscroll = () => this.#atEnd() && (newer.hidden = true);
  }

  clear(user) {
    this.#user = user;
    this.#waiting.clear();
    this.#list.replaceChildren();
    this.#newer.hidden = true;
  }

  /** Our own words before the hub has taken them. */
  waiting(id, text) {
    const row = this.#row({ user: this.#user, data: { text } });
    row.classList.add('waiting');
    row.querySelector('.meta').textContent = 'on its way';
    this.#waiting.set(id, { row, text });
    this.#append(row);
    this.#toEnd();
  }

  /** Our own words that were not taken, and what can be done about it. */
  refused(id, why, { label, run }) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    const { row, text } = waiting;
    row.classList.replace('waiting', 'refused');
    const again = button(label, () => {
      row.remove();
      run(text);
    });
    row.querySelector('.meta').replaceChildren(`not said: ${why}`, again);
    this.#toEnd();
  }

  publication(publication) {
    const { id, flood } = publication.data ?? {};
    this.#waiting.get(id)?.row.remove();
    this.#waiting.delete(id);
    if (flood !== undefined && this.#growFlood(publication)) return;
    this.#append(this.#row(publication));
  }

  history(publications) {
    const rows = publications.map((publication) => {
      const row = this.#row(publication);
      row.classList.add('earlier');
      return row;
    });
    const stay = this.#atEnd();
    this.#list.prepend(...rows);
    this.#trim();
    for (const row of rows) this.#group(row);
    if (stay) this.#toEnd();
  }

  note(text, tone = '', action = null) {
    const row = document.createElement('div');
    row.className = `note ${tone}`;
    row.textContent = text;
    if (action) {
      const once = button(action.label, () => {
        once.remove();
        action.run();
      });
      row.append(' ', once);
    }
    this.#append(row);
  }

  #row({ offset, user, at, data, recovered }) {
    const who = user ?? 'the application';
    const row = document.createElement('div');
    row.className = 'said';
    row.dataset.user = who;
    if (who === this.#user) row.classList.add('mine');
    if (recovered) row.classList.add('recovered');

    const name = document.createElement('div');
    name.className = 'who';
    name.append(face(who), who);
    const bubble = document.createElement('div');
    bubble.className = 'bubble';
    bubble.textContent = words(data);
    const meta = document.createElement('div');
    meta.className = 'meta';
    if (offset !== undefined) {
      const position = document.createElement('span');
      position.className = 'offset';
      position.textContent = `#${offset}`;
      meta.append(position, ` · ${new Date(at).toLocaleTimeString()}`);
    }
    row.append(name, bubble, meta);
    if (data?.flood !== undefined) {
      row.classList.add('flood');
      Object.assign(row.dataset, { first: offset, count: 1, bytes: data.bytes });
    }
    return row;
  }

  /** A flood is one row that counts, not four hundred rows. */
  #growFlood({ offset, user, data, recovered }) {
    const row = this.#lastSaid();
    if (!row?.classList.contains('flood') || row.dataset.user !== user) return false;
    if (row.classList.contains('recovered') !== Boolean(recovered)) return false;
    const count = Number(row.dataset.count) + 1;
    const bytes = Number(row.dataset.bytes) + data.bytes;
    Object.assign(row.dataset, { count, bytes });
    row.querySelector('.bubble').textContent = `flood: ${count} messages, ${(bytes / 2 ** 20).toFixed(1)} MiB`;
    row.querySelector('.offset').textContent = `#${row.dataset.first} to #${offset}`;
    return true;
  }

  /** Before what still waits: a waiting message has no place yet. */
  #append(row) {
    const stay = this.#atEnd();
    const next = row.classList.contains('waiting') ? null : this.#list.querySelector('.waiting');
    this.#list.insertBefore(row, next);
    this.#group(row);
    this.#trim();
    if (stay) this.#toEnd();
    else this.#newer.hidden = false;
  }

  /** Names the speaker once for several messages in a row. */
  #group(row) {
    const previous = row.previousElementSibling;
    const same = previous?.classList.contains('said') && previous.dataset.user === row.dataset.user;
    row.classList.toggle('more', Boolean(same));
  }

  #lastSaid() {
    const waiting = this.#list.querySelector('.waiting');
    return waiting ? waiting.previousElementSibling : this.#list.lastElementChild;
  }

  #trim() {
    while (this.#list.childElementCount > ROWS_MOST) this.#list.firstElementChild.remove();
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < 60;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#newer.hidden = true;
  }
}

function button(label, run) {
  const element = document.createElement('button');
  element.type = 'button';
  element.className = 'quiet';
  element.textContent = label;
  element.onclick = run;
  return element;
}

/** Anybody may publish any JSON into a room; ours has a `text`. */
function words(data) {
  if (typeof data?.text === 'string') return data.text;
  if (data?.flood !== undefined) return `flood: 1 message, ${(data.bytes / 2 ** 20).toFixed(1)} MiB`;
  return JSON.stringify(data);
}
