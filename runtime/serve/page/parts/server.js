// All requests to the server on this box.

export class ServerError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const ANSWER = 30_000; // milliseconds until a request is given up; the server itself limits uploads
const SILENCE = 25_000; // milliseconds without a sign of life; the server gives one every 10 seconds

export async function ask(method, path, body) {
  const options = { method, cache: "no-store", headers: {} };
  if (body instanceof Blob) options.body = body;
  else options.signal = AbortSignal.timeout(ANSWER);
  if (body !== undefined && !options.body) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  let content;
  try {
    answer = await fetch(path, options);
    const json = (answer.headers.get("Content-Type") ?? "").includes("json");
    content = json ? await answer.json() : null;
  } catch {
    throw new ServerError(0, "unreachable", "the server does not answer");
  }
  if (!answer.ok) {
    const error = content?.error ?? {};
    throw new ServerError(answer.status, error.code ?? "internal", error.message ?? answer.statusText);
  }
  return content;
}

const query = (values) => new URLSearchParams(values).toString();

export class Visit {
  constructor(token) {
    this.token = token;
    this.path = `/api/visits/${token}`;
  }

  static async begin() {
    const { visit, status } = await ask("POST", "/api/visits");
    return [new Visit(visit), status];
  }

  status = () => ask("GET", this.path);
  stay = () => ask("POST", `${this.path}/stay`);
  end = ({ keepTakeHome = false } = {}) => ask("DELETE", this.path + (keepTakeHome ? "?keep=take-home" : ""));

  upload = (file) => ask("POST", `${this.path}/photo`, file);
  take = (photo) => ask("POST", `${this.path}/photo-from`, { photo });
  phone = () => ask("POST", `${this.path}/phone`);
  takeHome = () => ask("POST", `${this.path}/take-home`);

  restore = (choice) =>
    ask("POST", `${this.path}/result`, {
      preset: choice.preset,
      strength: choice.strength,
      leave_out: [...choice.leaveOut].sort((a, b) => a - b),
    });
  print = (paper, copies) => ask("POST", `${this.path}/prints`, { paper, copies });
  printAgain = (id) => ask("POST", `${this.path}/prints/${id}/again`);
  cancelPrint = (id) => ask("DELETE", `${this.path}/prints/${id}`);

  photoUrl = (number, size) => `${this.path}/photo?${query({ size, n: number })}`;
  faceUrl = (number, index, size, preset) =>
    `${this.path}/faces/${index}?${query({ size, ...(preset ? { preset } : {}), n: number })}`;
  previewUrl = (number, size, preset, leaveOut) =>
    `${this.path}/preview?${query({
      preset,
      strength: 1,
      leave_out: [...leaveOut].sort((a, b) => a - b).join(","),
      size,
      n: number,
    })}`;
  resultUrl = (number, size) => `${this.path}/result?${query({ size, n: number })}`;
  printUrl = (number, paper, size) => `${this.path}/print-preview?${query({ paper, size, n: number })}`;
}

// Follow a visit until it is gone or `close` is called; connections that are lost or silent are taken up again.
export function follow(visit, { status, deleted, lost, found }) {
  let events;
  let closed = false;
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      lost();
      again();
    }, SILENCE);
  };
  const heard = () => {
    wait();
    found();
  };
  const open = () => {
    wait();
    events = new EventSource(`${visit.path}/events`);
    events.addEventListener("alive", heard);
    events.addEventListener("status", (event) => {
      heard();
      status(JSON.parse(event.data));
    });
    events.addEventListener("deleted", () => {
      close();
      deleted();
    });
    events.onerror = again;
  };
  const again = async () => {
    if (closed) return;
    clearTimeout(timer);
    events.close();
    try {
      status(await visit.status());
    } catch (error) {
      if (closed) return;
      if (error.status === 404) {
        close();
        found();
        deleted();
        return;
      }
      lost();
    }
    timer = setTimeout(() => closed || open(), 1500);
  };
  const close = () => {
    closed = true;
    clearTimeout(timer);
    events?.close();
  };
  open();
  return close;
}
