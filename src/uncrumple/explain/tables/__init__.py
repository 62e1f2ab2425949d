"""What a model of rows and columns answers by: importance, dependence, counterfactuals, surrogates."""
