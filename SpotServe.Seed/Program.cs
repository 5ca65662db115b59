using SpotServe.Seed.Commands;

return await RootCommands.InvokeAsync(args);
