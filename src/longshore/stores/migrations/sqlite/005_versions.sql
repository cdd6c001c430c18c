-- Additive: which release a process runs, which releases before do not say.

-- Empty of a process that runs a release before this.
alter table longshore_process add column version text not null default '';
