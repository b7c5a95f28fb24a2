// Asking the controller. The token is here and in this tab's sessionStorage, and goes out in the
// Authorization header of requests to where the page came from, never in an address or a cookie.

const KEY = "token";
let token = sessionStorage.getItem(KEY);

/** An answer that is none; `status` 0: there was no answer at all. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const session = {
  get there() {
    return token !== null;
  },
  begin(given) {
    token = given;
  },
  keep() {
    sessionStorage.setItem(KEY, token);
  },
  end() {
    token = null;
    sessionStorage.removeItem(KEY);
  },
};

/** The JSON at `path`, whose `query` leaves out what is empty. Raises Refused. */
export async function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  let answer;
  try {
    answer = await fetch(`v1/${path}${search}`, {
      headers: { Authorization: `Bearer ${token}` },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the controller does not answer");
  }
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.detail || answer.statusText);
}

/** The answer at `path`, or `instead` where there is none for us: 403, 404 and 503 say so. */
export async function getOr(instead, path, query, signal) {
  try {
    return await get(path, query, signal);
  } catch (error) {
    if (error instanceof Refused && [403, 404, 503].includes(error.status)) {
      return typeof instead === "function" ? instead(error) : instead;
    }
    throw error;
  }
}

/** The role of the token: "admin", "server", or null where the controller knows no such token. */
export async function role() {
  try {
    await get("standings", { limit: 1 });
    return "admin";
  } catch (error) {
    if (error instanceof Refused && error.status === 403) return "server";
    if (error instanceof Refused && error.status === 401) return null;
    throw error;
  }
}
