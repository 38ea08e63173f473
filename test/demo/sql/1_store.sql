-- The relational side: the store, and two tenants of the platform.
CREATE EXTENSION pynomaly_store;

INSERT INTO pynomaly.tenants (id, name, plan) VALUES
    ('11111111-1111-4111-8111-111111111111', 'factory', 'professional'),
    ('22222222-2222-4222-8222-222222222222', 'city', 'professional');
