"""The statements behind a job's tables: each picks in Postgres what it needs of a result.

They have the columns of the table, and `:job`; server.job_tables.tables chooses among their rows
and orders them. Losses and replacements are of accepted training assignments, in published rounds
and the current one.
"""

LOSSES = """
SELECT r.number AS round, a.client_id AS client, loss.key AS task,
    CAST(loss.value ->> 'engaged' AS float8) AS engaged,
    CAST(loss.value ->> 'personal' AS float8) AS personal
FROM rounds r JOIN assignments a ON a.round_id = r.id
CROSS JOIN LATERAL json_each(a.result -> 'losses') loss
WHERE r.job_id = :job AND r.phase = 'train' AND r.state <> 'failed' AND a.state = 'accepted'
"""

# `:sets` has the components of each task: {task: {component: null}}. OFFSET 0 has those of a task
# taken out once for a row.
REPLACEMENTS = """
SELECT r.number AS round, a.client_id AS client, decision ->> 'task' AS task,
    CAST(decision ->> 'engaged_loss' AS float8) AS engaged_loss,
    CAST(decision ->> 'personal_loss' AS float8) AS personal_loss,
    CAST(decision ->> 'margin' AS float8) AS margin,
    CAST(decision ->> 'replaced' AS boolean) AS replaced,
    (SELECT count(*)
     FROM (SELECT CAST(:sets AS jsonb) -> (decision ->> 'task') AS names OFFSET 0) of,
        unnest(a.components) c
     WHERE jsonb_exists(of.names, c)) AS components
FROM rounds r JOIN assignments a ON a.round_id = r.id
CROSS JOIN LATERAL json_array_elements(a.result -> 'decisions') decision
WHERE r.job_id = :job AND r.phase = 'train' AND r.state <> 'failed' AND a.state = 'accepted'
"""

# Norms of earlier releases may be none: neither NaN nor infinite ones are below infinity.
CONTRIBUTIONS = """
SELECT v.number AS version, c.component, c.client_id AS client, c.weight,
    CASE WHEN c.norm < 'Infinity' THEN c.norm END AS norm
FROM versions v JOIN contributions c ON c.round_id = v.round_id
WHERE v.job_id = :job AND c.verdict = 'accepted'
"""

# `turn` is the place of the phase in a job.
TRAFFIC = """
SELECT array_position(ARRAY['train', 'personalize', 'evaluate'], r.phase) AS turn,
    r.phase, r.number AS round, r.state,
    r.opened_at, CAST(EXTRACT(epoch FROM r.closed_at - r.opened_at) AS float8) AS seconds
FROM rounds r
WHERE r.job_id = :job AND r.phase <> 'plan'
"""

# Of one round of `page`. `:sizes` has the bytes of each component's full state, {component: bytes};
# `:times` how often a phase sends them, {phase: times}.
TRAFFIC_SUMS = """
SELECT count(*) AS asked, count(*) FILTER (WHERE a.state = 'accepted') AS accepted,
    CAST(COALESCE(sum(CAST(a.result -> 'traffic' ->> 'bytes_down' AS bigint)), 0) AS bigint)
        AS bytes_down,
    CAST(COALESCE(sum((
        SELECT sum(u.n_bytes) FROM uploaded_components u WHERE u.assignment_id = a.id
    )), 0) AS bigint) AS bytes_up,
    CAST(COALESCE(sum((
        SELECT sum(CAST(CAST(:sizes AS jsonb) ->> c AS bigint)) FROM unnest(a.components) c
    )), 0) AS bigint) * COALESCE(CAST(CAST(:times AS jsonb) ->> page.phase AS bigint), 0)
        AS bytes_full_exchange
FROM rounds r JOIN assignments a ON a.round_id = r.id
WHERE r.job_id = :job AND r.phase = page.phase AND r.number = page.round
"""

# Scores of earlier releases have the primary metric apart.
SCORES = """
SELECT a.client_id AS client, task.key AS task, j.spec -> 'tasks' -> task.key ->> 'kind' AS kind,
    variant.key AS variant, metric.key AS metric, CAST(metric.value AS float8) AS value,
    CAST(task.value -> 'intervals' -> metric.key ->> 0 AS float8) AS lower,
    CAST(task.value -> 'intervals' -> metric.key ->> 1 AS float8) AS upper,
    CASE WHEN metric.key = task.value ->> 'metric'
        THEN CAST(task.value ->> 'skill' AS float8) END AS skill,
    CAST(task.value ->> 'n' AS bigint) AS n, task.value ->> 'of' AS of
FROM jobs j JOIN assignments a ON a.job_id = j.id
CROSS JOIN LATERAL json_each(a.result -> 'scores') variant
CROSS JOIN LATERAL json_each(variant.value) task
CROSS JOIN LATERAL jsonb_each_text(
    jsonb_build_object(task.value ->> 'metric', task.value -> 'value')
    || COALESCE(CAST(task.value -> 'metrics' AS jsonb), '{}')
) metric
WHERE j.id = :job AND a.kind = 'evaluate' AND a.state = 'accepted'
"""
