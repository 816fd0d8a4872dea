/** Asks a running head over its admin socket. */
import { request } from 'node:http';
import type { HeadStatus, InstanceFile } from '../runtime/types.js';

const TIMEOUT_MS = 3000;
const LIMIT_BYTES = 4 * 1024 * 1024;

/** The head's state, or why it does not answer. */
export function askStatus(file: InstanceFile): Promise<HeadStatus | { readonly silent: string }> {
  return new Promise((resolve) => {
    const silent = (why: string): void => resolve({ silent: why });
    const ask = request({ socketPath: file.adminSocket, path: '/status', timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
        if (body.length > LIMIT_BYTES) ask.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => {
        try {
          if (response.statusCode !== 200) silent(`it answered ${response.statusCode}`);
          else resolve(JSON.parse(body) as HeadStatus);
        } catch {
          silent('its answer is no JSON');
        }
      });
      response.on('error', (error) => silent(error.message));
    });
    ask.on('timeout', () => ask.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    ask.on('error', (error) => silent(error.message));
    ask.end();
  });
}
