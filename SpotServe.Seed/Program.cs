using SpotServe.Seed.Commands;

return await RootCommands.Create().Parse(args).InvokeAsync();
