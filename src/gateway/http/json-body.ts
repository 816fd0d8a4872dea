/** JSON bodies, and protobuf where a route says so: parsers of the gateway's own scope, whatever a host has registered. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TwinkleError } from '../../errors.js';
import { nestsDeeperThan } from './json-depth.js';
import { traitsOf } from './route-traits.js';

const MAX_DEPTH = 100;

const TEXT = Symbol('twinkle.text');
type Carrier = { [TEXT]?: string | null };

/** The JSON text of a body whose route keeps it, and forget it; empty without a body. */
export function takeBodyText(request: FastifyRequest): string {
  const carrier = request as Carrier;
  const text = carrier[TEXT] ?? '';
  carrier[TEXT] = null;
  return text;
}

function wrongType(expected: string): TwinkleError {
  return new TwinkleError(
    'UNSUPPORTED_MEDIA_TYPE',
    `The body has the wrong type: send it with "content-type: ${expected}".`,
  );
}

/** Replace the parsers of this scope. A body that is no JSON, or that carries `__proto__`, is a clear 400. */
export function acceptBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.decorateRequest(TEXT, null);
  app.addContentTypeParser<string>(
    /^application\/(?:[\w.-]+\+)?json(?:$|;)/i,
    { parseAs: 'string' },
    (request, text, done) => {
      const { bodyText, protobuf } = traitsOf(request);
      // Only by this name is it held against the route's schema where there are two types.
      if (protobuf === true && request.mediaType !== 'application/json') {
        done(wrongType('application/json" or "application/x-protobuf'));
        return;
      }
      if (text === '') {
        if (bodyText === 'optional') done(null, undefined);
        else done(new TwinkleError('INVALID_REQUEST', 'The request body is empty: expected a JSON object.'));
        return;
      }
      if (nestsDeeperThan(MAX_DEPTH, text)) {
        done(
          new TwinkleError('INVALID_REQUEST', `The request body nests deeper than ${MAX_DEPTH} levels: flatten it.`),
        );
        return;
      }
      // Some fastify versions return a value beside the callback; the callback is the contract.
      void parse(request, text, (error, value) => {
        if (error === null) {
          if (bodyText !== undefined) (request as Carrier)[TEXT] = text;
          done(null, value);
        } else
          done(
            new TwinkleError('INVALID_REQUEST', `The request body is not valid JSON: ${error.message}`, {
              cause: error,
            }),
          );
      });
    },
  );
  app.addContentTypeParser<Buffer>('application/x-protobuf', { parseAs: 'buffer' }, (request, bytes, done) => {
    if (traitsOf(request).protobuf === true) done(null, bytes);
    else done(wrongType('application/json'));
  });
}
