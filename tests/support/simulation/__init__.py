"""The decisions of server and workers, run against a seeded network and seeded faults.

Everything that decides is the product's: `server.assignments.decide`, `server.rounds`,
`server.jobs.order`, `worker.decisions`, `shared.states`. The simulation supplies the world: rows
in memory (a transaction is one event), messages, processes that die, clocks that jump.
"""
