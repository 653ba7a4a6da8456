/** The events by which the gateways of AWS hand a request to a function. */

export const json = { "content-type": "application/json" };

/** A request, as a test says it. */
export interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly isBase64Encoded?: boolean;
}

/** The same request as each gateway hands it over. */
export const forms: Record<string, (ask: Ask) => object> = {
  "REST proxy": ({ method = "POST", path = "/", query = "", body, headers = json, isBase64Encoded = false }) => ({
    resource: "/{proxy+}",
    httpMethod: method,
    path,
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    queryStringParameters: query === "" ? null : Object.fromEntries(new URLSearchParams(query)),
    multiValueQueryStringParameters: null,
    requestContext: { domainName: "api.example", stage: "prod", httpMethod: method },
    body: body ?? null,
    isBase64Encoded,
  }),
  "HTTP API": ({ method = "POST", path = "/", query = "", body, headers = json, isBase64Encoded = false }) => ({
    version: "2.0",
    rawPath: `/prod${path}`,
    rawQueryString: query,
    headers,
    requestContext: { domainName: "api.example", stage: "prod", http: { method, path: `/prod${path}` } },
    ...(body === undefined ? {} : { body }),
    isBase64Encoded,
  }),
  "Function URL": ({ method = "POST", path = "/", query = "", body, headers = json, isBase64Encoded = false }) => ({
    version: "2.0",
    rawPath: path,
    rawQueryString: query,
    headers,
    requestContext: { domainName: "api.example", stage: "$default", http: { method, path } },
    ...(body === undefined ? {} : { body }),
    isBase64Encoded,
  }),
};
