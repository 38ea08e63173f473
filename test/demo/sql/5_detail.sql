-- New York's taxis around the New Year of 2015: what was flagged, and by whom?
SELECT p.at, p.value, w.number AS in_window,
    string_agg(format('%s %s', d.name, round(u.score::numeric, 3)), ', '
               ORDER BY d.name) AS flagged_by
FROM pynomaly.detection_results r
JOIN pynomaly.detectors d ON d.id = r.detector_id
JOIN pynomaly.datasets s ON s.id = r.dataset_id
CROSS JOIN ROWS FROM (unnest(r.scores), unnest(r.labels)) WITH ORDINALITY
    AS u (score, label, position)
JOIN demo.points p
    ON p.dataset = s.name AND p.position = u.position - 1
LEFT JOIN demo.windows w
    ON w.dataset_id = s.id AND p.at BETWEEN w.starts AND w.ends
WHERE s.name = 'nyc_taxi' AND p.dataset = 'nyc_taxi'
    AND p.at >= '2014-12-20' AND p.at < '2015-01-05'
    AND u.label = 1
GROUP BY p.at, p.value, w.number
ORDER BY p.at;
