-- What the rules look at of a need holds the budget for the whole quantity, so that prices are compared without a division.
update need set judged = ((judged::jsonb - 'unit_budget') || jsonb_build_object('budget', summary::jsonb #> '{budget,amount}'))::json;
