// The face under the pointer: its picture, person, group, and score in the space of its map.
const WAIT_MS = 60;

export class Tip {
  constructor(root) {
    this.box = document.createElement("div");
    this.box.className = "tip";
    this.box.hidden = true;
    root.append(this.box);
    this.root = root;
    this.known = new Map();
    this.timer = 0;
    this.at = [0, 0];
  }

  place(event) {
    const frame = this.root.getBoundingClientRect();
    this.at = [event.clientX - frame.left, event.clientY - frame.top];
    if (!this.box.hidden) this.move();
  }

  move() {
    const [x, y] = this.at;
    const left = x + 16 + this.box.offsetWidth > this.root.clientWidth ? x - 16 - this.box.offsetWidth : x + 16;
    this.box.style.left = `${Math.max(0, left)}px`;
    this.box.style.top = `${y + 12}px`;
  }

  show(data, panel, id, colour) {
    clearTimeout(this.timer);
    this.wanted = `${panel.about}${id}?v=${data.version}`;
    this.timer = setTimeout(() => this.fetch(data, this.wanted, id, colour), WAIT_MS);
  }

  async fetch(data, address, id, colour) {
    let about = this.known.get(address);
    if (!about) {
      const answer = await fetch(address).catch(() => null);
      about = answer?.ok ? await answer.json() : { lines: [] };
      if (this.known.size > 500) this.known.clear();
      this.known.set(address, about);
    }
    if (this.wanted !== address) return;
    const parts = [];
    if (data.pictures) {
      const picture = document.createElement("img");
      picture.alt = "";
      picture.src = `/api/thumb/${encodeURIComponent(data.dataset)}/${id}?px=168&v=${data.version}`;
      parts.push(picture);
    }
    const words = document.createElement("div");
    [about.person, ...about.lines, colour, `image ${id}`].forEach((text, number) => {
      if (!text) return;
      const line = document.createElement(number ? "span" : "b");
      line.textContent = text;
      words.append(line);
    });
    parts.push(words);
    this.box.replaceChildren(...parts);
    this.box.hidden = false;
    this.move();
  }

  hide() {
    clearTimeout(this.timer);
    this.wanted = "";
    this.box.hidden = true;
  }
}
