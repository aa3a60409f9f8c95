"""The statements behind a job's tables: each picks in Postgres what it needs of a result.

They are of one form: the columns of the table, rows behind a place (`:at_...`, its smallest values
for the beginning), in the order of the place, at most `:most`. `:client`, `:task` and `:component`
choose where they are not NULL, `:after` is a round or version.

Losses and replacements are of accepted training assignments, in published rounds and the current
one. The rounds before the place are left out by themselves, so that a page reads no result of
theirs.
"""

LOSSES = """
SELECT r.number AS round, a.client_id AS client, loss.key AS task,
    CAST(loss.value ->> 'engaged' AS float8) AS engaged,
    CAST(loss.value ->> 'personal' AS float8) AS personal
FROM rounds r JOIN assignments a ON a.round_id = r.id
CROSS JOIN LATERAL json_each(a.result -> 'losses') loss
WHERE r.job_id = :job AND r.phase = 'train' AND r.state <> 'failed' AND a.state = 'accepted'
    AND r.number > :after AND r.number >= :at_round
    AND (CAST(:client AS text) IS NULL OR a.client_id = :client)
    AND (CAST(:task AS text) IS NULL OR loss.key = :task)
    AND (r.number, a.client_id, loss.key) > (:at_round, :at_client, :at_task)
ORDER BY r.number, a.client_id, loss.key LIMIT :most
"""

# `:sets` has the components of each task: {task: {component: null}}. OFFSET 0 has a task's taken out
# once for a row.
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
    AND r.number > :after AND r.number >= :at_round
    AND (CAST(:client AS text) IS NULL OR a.client_id = :client)
    AND (CAST(:task AS text) IS NULL OR decision ->> 'task' = :task)
    AND (r.number, a.client_id, decision ->> 'task') > (:at_round, :at_client, :at_task)
ORDER BY r.number, a.client_id, decision ->> 'task' LIMIT :most
"""

CONTRIBUTIONS = """
SELECT v.number AS version, a.component, a.client_id AS client, a.weight, a.norm
FROM versions v JOIN contributions a ON a.round_id = v.round_id
WHERE v.job_id = :job AND v.number > :after AND v.number >= :at_version
    AND (CAST(:client AS text) IS NULL OR a.client_id = :client)
    AND (CAST(:component AS text) IS NULL OR a.component = :component)
    AND (v.number, a.component, a.client_id) > (:at_version, :at_component, :at_client)
ORDER BY v.number, a.component, a.client_id LIMIT :most
"""

# `:sizes` has the bytes of each component's full state, {component: bytes}; `:times` how often a
# phase sends them, {phase: times}.
TRAFFIC = """
SELECT r.phase, r.number AS round, r.state, asked, accepted, r.opened_at,
    bytes_down, bytes_up,
    full_state * COALESCE(CAST(CAST(:times AS jsonb) ->> r.phase AS bigint), 0)
        AS bytes_full_exchange,
    CAST(EXTRACT(epoch FROM r.closed_at - r.opened_at) AS float8) AS seconds
FROM rounds r
CROSS JOIN LATERAL (SELECT array_position(ARRAY['train', 'personalize', 'evaluate'], r.phase)) p(at)
CROSS JOIN LATERAL (
    SELECT count(*) AS asked, count(*) FILTER (WHERE a.state = 'accepted') AS accepted,
        CAST(COALESCE(sum(CAST(a.result -> 'traffic' ->> 'bytes_down' AS bigint)), 0) AS bigint)
            AS bytes_down,
        CAST(COALESCE(sum((
            SELECT sum(CAST(CAST(:sizes AS jsonb) ->> c AS bigint)) FROM unnest(a.components) c
        )), 0) AS bigint) AS full_state,
        CAST(COALESCE(sum((
            SELECT sum(u.n_bytes) FROM uploaded_components u WHERE u.assignment_id = a.id
        )), 0) AS bigint) AS bytes_up
    FROM assignments a WHERE a.round_id = r.id
) members
WHERE r.job_id = :job AND r.phase <> 'plan' AND r.number > :after
    AND (p.at, r.number) > (
        COALESCE(array_position(ARRAY['train', 'personalize', 'evaluate'], :at_phase), 0), :at_round
    )
ORDER BY p.at, r.number LIMIT :most
"""

# Scores of earlier releases have the primary metric apart.
SCORES = """
SELECT a.client_id AS client, score.task, j.spec -> 'tasks' -> score.task ->> 'kind' AS kind,
    score.variant, metric.key AS metric, CAST(metric.value AS float8) AS value,
    CAST(score.found -> 'intervals' -> metric.key ->> 0 AS float8) AS lower,
    CAST(score.found -> 'intervals' -> metric.key ->> 1 AS float8) AS upper,
    CASE WHEN metric.key = score.found ->> 'metric'
        THEN CAST(score.found ->> 'skill' AS float8) END AS skill,
    CAST(score.found ->> 'n' AS bigint) AS n, score.found ->> 'of' AS of
FROM jobs j JOIN assignments a ON a.job_id = j.id
CROSS JOIN LATERAL json_each(a.result -> 'scores') variant
CROSS JOIN LATERAL (
    SELECT variant.key AS variant, task.key AS task, task.value AS found
    FROM json_each(variant.value) task
) score
CROSS JOIN LATERAL jsonb_each_text(
    jsonb_build_object(score.found ->> 'metric', score.found -> 'value')
    || COALESCE(CAST(score.found -> 'metrics' AS jsonb), '{}')
) metric
WHERE j.id = :job AND a.kind = 'evaluate' AND a.state = 'accepted'
    AND (CAST(:client AS text) IS NULL OR a.client_id = :client)
    AND (CAST(:task AS text) IS NULL OR score.task = :task)
    AND (a.client_id, score.task, score.variant, metric.key)
        > (:at_client, :at_task, :at_variant, :at_metric)
ORDER BY a.client_id, score.task, score.variant, metric.key LIMIT :most
"""
