# syntax=docker/dockerfile:1

# Production dependencies alone; the lock file decides what they are.
FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --no-audit --no-fund


FROM node:26-slim
LABEL org.opencontainers.image.title="OmniBioAI API gateway" \
      org.opencontainers.image.licenses="Apache-2.0"

# Weak or missing secrets stop the start. The admin port is reached from other containers; publish it nowhere.
ENV NODE_ENV=production \
    ADMIN_HOST=0.0.0.0 \
    STATE_DIR=/var/lib/gateway

WORKDIR /app
RUN install -d -o node -g node -m 0700 /var/lib/gateway
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src

# The code belongs to root: the gateway can write to its state and to nothing else.
USER node
VOLUME /var/lib/gateway
EXPOSE 8080 9464

# Drains: what is in flight is finished within DRAIN_TIMEOUT.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ADMIN_PORT || 9464}/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

CMD ["node", "src/start.js"]
