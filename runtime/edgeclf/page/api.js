// The page /docs: the service's OpenAPI document as text for people.

/** @typedef {{name: string, in: string, required?: boolean, description?: string, schema?: any}} Parameter */
/** @typedef {{description?: string, $ref?: string, content?: Record<string, any>}} Answer */
/** @typedef {{summary?: string, description?: string, parameters?: Parameter[], requestBody?: any, responses: Record<string, Answer>}} Operation */

/**
 * An element with text, in which `code` stands between backticks.
 * @param {string} name
 * @param {string} [text]
 * @param {HTMLElement[]} [children]
 * @returns {HTMLElement}
 */
function element(name, text = "", children = []) {
  const made = document.createElement(name);
  for (const [index, part] of text.split("`").entries()) {
    if (index % 2 === 0) made.append(part);
    else made.append(Object.assign(document.createElement("code"), { textContent: part }));
  }
  made.append(...children);
  return made;
}

/**
 * A block of code; with the keyboard it can be reached, to be scrolled.
 * @param {string} text
 */
function code(text) {
  const made = element("pre");
  made.tabIndex = 0;
  made.append(Object.assign(document.createElement("code"), { textContent: text }));
  return made;
}

/**
 * @param {string} path
 * @param {string} method
 */
function curlLine(path, method) {
  const address = new URL(`.${path}`, document.baseURI).href;
  return method === "post" ? `curl --data-binary @photo.jpg '${address}'` : `curl '${address}'`;
}

/** @param {any} schema */
function schemaText(schema) {
  if (schema?.enum) return schema.enum.join(" or ");
  const range = [schema?.minimum, schema?.maximum].filter((value) => value !== undefined).join("..");
  return [schema?.type, range, schema?.default !== undefined ? `default ${schema.default}` : ""].filter(Boolean).join(", ");
}

/**
 * @param {string} path
 * @param {string} method
 * @param {Operation} operation
 * @param {any} api
 */
function section(path, method, operation, api) {
  const heading = element("h2", "", [element("code", `${method.toUpperCase()} ${path}`)]);
  const made = element("section", "", [heading, element("p", operation.summary)]);
  if (operation.description) made.append(element("p", operation.description));
  made.append(code(curlLine(path, method)));
  if (operation.parameters?.length) {
    const list = element("dl");
    for (const one of operation.parameters) {
      list.append(element("dt", `${one.name} (${schemaText(one.schema)})`), element("dd", one.description ?? ""));
    }
    made.append(element("h3", "Arguments"), list);
  }
  const answers = element("dl");
  for (const [status, answer] of Object.entries(operation.responses)) {
    const found = answer.$ref ? api.components.responses[answer.$ref.split("/").at(-1) ?? ""] : answer;
    const kinds = Object.keys(found.content ?? {}).join(", ");
    const text = element("dd", found.description);
    for (const body of Object.values(found.content ?? {})) {
      if (body.example) text.append(code(JSON.stringify(body.example, null, 2)));
    }
    answers.append(element("dt", kinds ? `${status} (${kinds})` : status), text);
  }
  made.append(element("h3", "Answers"), answers);
  return made;
}

async function show() {
  const routes = document.getElementById("routes");
  const title = document.getElementById("title");
  const about = document.getElementById("about");
  if (!routes || !title || !about) return;
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const api = await answer.json();
    title.textContent = `API of ${api.info.title}`;
    about.replaceChildren(...element("p", api.info.description).childNodes);
    routes.replaceChildren();
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) routes.append(section(path, method, operation, api));
    }
  } catch (error) {
    routes.textContent = `The description could not be loaded (${error}). Is the service still running?`;
  }
}

await show();
